"""The verbs: each walks the road from station to station. The same names as on the command line."""
