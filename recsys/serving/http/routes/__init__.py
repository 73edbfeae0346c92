"""Routes of the service beside lists, events and explanations, one router a subject, with their schemas."""
