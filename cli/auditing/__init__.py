"""What the commands of `./whistle audit` are made of."""
