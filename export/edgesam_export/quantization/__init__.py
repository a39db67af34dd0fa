"""INT8 as Q/DQ in the authored graphs: what was learned about a network, and how it is applied."""
