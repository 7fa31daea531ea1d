"""Whether an answer is right: numbers, expressions, choices, free text; a judge where asked."""
