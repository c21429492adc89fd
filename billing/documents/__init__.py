"""Invoices and credit notes as files: PDF/A-3 with the EN 16931 data (Factur-X) inside."""
