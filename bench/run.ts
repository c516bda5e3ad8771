import { writeDocument } from './document.ts';
import type { Figure, Measured, Plan } from './figure.ts';
import { figures } from './figures.ts';
import { machine } from './machine.ts';
import { asText } from './report.ts';

export interface RunOptions {
  readonly quick?: boolean;
  readonly rounds?: number;
  readonly seconds?: number;
  readonly only?: string;
  readonly url?: string;
  readonly json?: boolean;
  readonly write?: boolean;
}

export async function runFigures(names: readonly string[], options: RunOptions): Promise<void> {
  const plan = planOf(options);
  const results: Measured[] = [];
  if (!options.json) print(machine());
  for (const figure of chosen(names, plan)) {
    plan.say(`${figure.name}: ${figure.about}`);
    const measured = await measureOne(figure, plan);
    results.push(measured);
    if (!options.json) print(measured.comparisons.map(asText).join('\n\n'));
    if (options.write) await writeDocument([measured]);
  }
  if (options.json) print(JSON.stringify(results, null, 2));
}

async function measureOne(figure: Figure, plan: Plan): Promise<Measured> {
  const comparisons = await figure.run(plan);
  const { rounds, seconds, quick } = plan;
  const measuredAt = new Date().toISOString();
  return { figure: figure.name, machine: machine(), measuredAt, rounds, seconds, quick, comparisons };
}

function chosen(names: readonly string[], { url }: Plan): readonly Figure[] {
  const unknown = names.find((name) => !figures.some((figure) => figure.name === name));
  if (unknown !== undefined) {
    throw new Error(`There is no figure ${unknown}. There are: ${figures.map(({ name }) => name).join(', ')}.`);
  }
  const asked = names.length === 0 ? figures : figures.filter(({ name }) => names.includes(name));
  return url === undefined ? asked : asked.filter(({ overHttp }) => overHttp);
}

const THOROUGH = { rounds: 5, seconds: 5, warmUpSeconds: 1 };
const QUICK = { rounds: 1, seconds: 1, warmUpSeconds: 0.3 };

function planOf({ quick = false, rounds, seconds, only, url }: RunOptions): Plan {
  const plan = quick ? QUICK : THOROUGH;
  const chosenTimes = { rounds: rounds ?? plan.rounds, seconds: seconds ?? plan.seconds };
  return { ...plan, ...chosenTimes, quick, only, url: url?.replace(/\/+$/, ''), say };
}

const say = (line: string) => void process.stderr.write(`${line}\n`);
const print = (text: string) => void process.stdout.write(`${text}\n\n`);
