"""Programs made of the floors below: settings, logging, engines, the miner and its life."""
