// One of several that want a state directory's lock at the same moments: `lock-contender.ts <lock file> <socket>
// <directory> <rounds>`. Says `ready`, reads on its standard input when the first round begins (ms since 1970), and in
// each round, 40 ms apart, asks until it has the lock, holds it a moment and gives it back. The directory exists while it
// is held: who finds it there holds with another. Ends with `{"held": …, "twice": …}`, both counted in rounds.
import { mkdir, rmdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { acquireLock, type DirectoryLock } from "../../src/store/lock.ts";
import { SluiceError, systemErrorCode } from "../../src/support/errors.ts";

const [file = "", socket = "", directory = "", rounds = ""] = process.argv.slice(2);
let held = 0;
let twice = 0;

process.stdout.write("ready\n");
const input = createInterface(process.stdin);
const start = Number((await input[Symbol.asyncIterator]().next()).value);
input.close();
for (let round = 0; round < Number(rounds); round += 1) {
  const begin = start + round * 40;
  await sleep(Math.max(0, begin - Date.now() - 2));
  while (Date.now() < begin); // A timer is late by a ms or two, which is as long as taking the lock.
  const lock = await taken();
  held += 1;
  const alone = await mkdir(directory).then(
    () => true,
    (cause) => {
      if (systemErrorCode(cause) !== "EEXIST") throw cause;
      return false;
    },
  );
  await sleep(5);
  if (alone) await rmdir(directory);
  else twice += 1;
  await lock.release();
}
process.stdout.write(`${JSON.stringify({ held, twice })}\n`);

async function taken(): Promise<DirectoryLock> {
  for (;;) {
    try {
      return await acquireLock({ file, socket });
    } catch (thrown) {
      if (!(thrown instanceof SluiceError) || thrown.code !== "ERR_STATE_LOCKED") throw thrown;
    }
    await sleep(1);
  }
}
