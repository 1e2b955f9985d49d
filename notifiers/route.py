"""Route: which receivers an alert goes to, in Alertmanager's words. Pure."""
