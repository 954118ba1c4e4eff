"""Tables of areas, volumes and regions in physical units."""
