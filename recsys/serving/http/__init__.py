"""The HTTP interface of the service: routes, schemas, middleware, and the page for people."""
