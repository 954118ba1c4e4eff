"""Pages of the studio: widgets that show what the rest of the room finds, and call its functions."""
