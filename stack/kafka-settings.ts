export type Properties = Readonly<Record<string, string>>;

/** One broker and controller in one process, which does not wait for others, has few partitions and creates no topics by accident. */
export const brokerProperties = (listen: string, clients: string, controller: string): Properties => ({
  'process.roles': 'broker,controller',
  'node.id': '1',
  'controller.quorum.voters': `1@${controller}`,
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'PLAINTEXT',
  listeners: `PLAINTEXT://${listen},CONTROLLER://${controller}`,
  'advertised.listeners': `PLAINTEXT://${clients}`,
  'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
  'auto.create.topics.enable': 'false',
  'group.initial.rebalance.delay.ms': '0',
  'group.min.session.timeout.ms': '1000',
  'offsets.topic.replication.factor': '1',
  'offsets.topic.num.partitions': '4',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'transaction.state.log.num.partitions': '4',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  // 128 MiB by default, allocated at the start.
  'log.cleaner.dedupe.buffer.size': '8388608',
});

/** Logs warnings and errors to the process's output. */
export const quietLog: Properties = {
  'appender.out.type': 'Console',
  'appender.out.name': 'out',
  'appender.out.layout.type': 'PatternLayout',
  'appender.out.layout.pattern': '%d{ISO8601} %p %m (%c)%n%throwable',
  'rootLogger.level': 'WARN',
  'rootLogger.appenderRef.out.ref': 'out',
};

export const asFile = (properties: Properties): string =>
  Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');

/** The properties as environment variables of the apache/kafka image. */
export const asVariables = (properties: Properties): Record<string, string> =>
  Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`, value]),
  );
