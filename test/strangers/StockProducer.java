import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends so many records in each codec to each partition, with Kafka's own Java client: brokers count topic/partition... */
class StockProducer {
  public static void main(String[] args) throws Exception {
    for (String codec : new String[] {"gzip", "snappy", "lz4", "zstd"}) send(args, codec);
  }

  private static void send(String[] args, String codec) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("compression.type", codec);
    settings.put("linger.ms", "50");
    settings.put("key.serializer", StringSerializer.class.getName());
    settings.put("value.serializer", StringSerializer.class.getName());
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
      for (int to = 2; to < args.length; to++) {
        String[] where = args[to].split("/");
        for (int n = 0; n < Integer.parseInt(args[1]); n++) {
          String value = ("value " + n + " ").repeat(20);
          producer.send(new ProducerRecord<>(where[0], Integer.parseInt(where[1]), codec + "-" + n, value));
        }
      }
    }
  }
}
