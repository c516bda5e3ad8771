import { projectorSuite } from '../contract/projector.ts';
import { kafkaSource } from '../support/core.ts';
import { describeWithKafka } from '../support/servers/index.ts';

describeWithKafka('the projector on Kafka', ({ brokers }) => projectorSuite(kafkaSource(brokers)));
