"""Result -> one self-contained HTML file: `page`; a replication: `replicated`."""
