"""How scoring behaves on subnets that are larger than one machine can hold."""
