"""`scripts/bench`: Ganglion and its peers, measured side by side on one machine.

contenders/   a server and a client program for each of who is measured, run by the Python of
              its own environment; they import the standard library, their own package and
              `lines`, `loads` and `payload` of here, nothing else
measures/     one module for each thing that is measured: what a turn is, and which figures
              come of all turns
the rest      starts programs, alternates them, and shows what came out
"""
