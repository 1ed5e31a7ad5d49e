// Cases of one client under Node: the same lines as cases.py prints.
export const URL = process.env.LITTORAL_TEST_URL;
export const KEY = process.env.LITTORAL_TEST_KEY;
export const MODEL = process.env.LITTORAL_TEST_MODEL;

const cases = [];

export function test(name, run) {
  cases.push([name, run]);
}

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

function say(verdict, name, note) {
  const line = String(note).split(/\s+/).join(" ").slice(0, 300);
  process.stdout.write(`case\t${verdict}\t${name}\t${line}\n`);
}

export async function run() {
  let failed = 0;
  for (const [name, body] of cases) {
    try {
      await body();
      say("ok", name, "");
    } catch (error) {
      failed += 1;
      say("fail", name, `${error.name}: ${error.message}`);
      console.error(error);
    }
  }
  process.exit(failed ? 1 : 0);
}
