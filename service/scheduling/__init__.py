"""From the outbox to RQ, and back to order when something died (DESIGN sections 4 and 5.3). One leader by a lease row; Redis is only the bell."""
