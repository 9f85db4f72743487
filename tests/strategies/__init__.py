"""Random cases of every component: `strategies.<topic>.INPUTS`, component name → dtype → strategy of Case."""
