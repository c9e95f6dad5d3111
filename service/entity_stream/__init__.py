"""Entity Stream: documents from Kafka, entities from a custom-NER model, back to Kafka."""
