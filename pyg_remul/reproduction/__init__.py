"""The tables and figures of the paper: experiments that are data, and one engine for all."""
