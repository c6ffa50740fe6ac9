"""How close reconstructions come: metrics, intervals, records, and several networks beside each other."""
