"""What every benchmark needs: a PostgreSQL, the two servers, the clients, and the arithmetic."""
