"""Single-event EQL: text to tree (`parser`), to questions (`clauses`), to Python (`compiler`)."""
