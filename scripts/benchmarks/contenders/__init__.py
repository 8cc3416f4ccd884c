"""Who is measured: a server and a client program each, and the list of them."""
