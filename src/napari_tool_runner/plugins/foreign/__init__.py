"""Services written for bioimageit_core: what runs them unchanged."""
