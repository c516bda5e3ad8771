"""Reads topics from beginning to end with Confluent's own deserialiser: confluent_reader.py BROKERS REGISTRY TOPIC…

Prints one JSON object: how many records of each ce_type were read, and what could not be.
"""

import json
import sys
from collections import Counter

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, registry, *topics = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "confluent", "enable.partition.eof": True})
deserialise = AvroDeserializer(SchemaRegistryClient({"url": registry}))
types, failed = Counter(), []


def read(topic, partition):
    consumer.assign([TopicPartition(topic, partition, 0)])
    while True:
        message = consumer.poll(30)
        if message is None:
            raise SystemExit(f"{topic}/{partition} did not answer")
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            return
        try:
            value = deserialise(message.value(), SerializationContext(topic, MessageField.VALUE))
            assert isinstance(value, dict) and value
            types[dict(message.headers())["ce_type"].decode()] += 1
        except Exception as error:  # whichever it is, it is what the test asks for
            failed.append(f"{topic}/{partition}@{message.offset()}: {error!r}")


for topic in topics:
    for partition in consumer.list_topics(topic).topics[topic].partitions:
        read(topic, partition)
print(json.dumps({"types": types, "failed": failed}))
