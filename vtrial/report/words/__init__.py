"""Names of metrics, endpoints, looks and worlds, as a reader knows them."""
