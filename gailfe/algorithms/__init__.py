"""What learns: GAIL and GAILFE, and the parts that they are made of."""
