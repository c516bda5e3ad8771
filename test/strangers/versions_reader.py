"""Reads the records of one type with Confluent's own deserialiser: versions_reader.py BROKERS REGISTRY TOPIC TYPE

Prints a JSON object for each: the value in the version in which it was written, and in the newest version of its subject.
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, url, topic, wanted = sys.argv[1:]
registry = SchemaRegistryClient({"url": url})
newest = registry.get_latest_version(wanted).schema
as_written, as_newest = AvroDeserializer(registry), AvroDeserializer(registry, newest)
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "versions", "enable.partition.eof": True})
context = SerializationContext(topic, MessageField.VALUE)
for partition in consumer.list_topics(topic).topics[topic].partitions:
    consumer.assign([TopicPartition(topic, partition, 0)])
    while True:
        message = consumer.poll(30)
        if message is None:
            raise SystemExit(f"{topic}/{partition} did not answer")
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            break
        if dict(message.headers())["ce_type"].decode() == wanted:
            value = message.value()
            print(json.dumps({"written": as_written(value, context), "newest": as_newest(value, context)}))
