"""What a step gives, how it is written to disk, and a record of how it was made."""
