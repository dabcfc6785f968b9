// Takes a state directory's lock and keeps it until it is killed: `lock-holder.ts <lock file> <socket>`. Says `held` with
// its pid, or the code of what it was told instead.
import { acquireLock } from "../../src/store/lock.ts";
import { toSluiceError } from "../../src/support/errors.ts";

const [file = "", socket = ""] = process.argv.slice(2);
try {
  await acquireLock({ file, socket });
  process.stdout.write(`held ${process.pid}\n`);
  setInterval(() => undefined, 1_000);
} catch (thrown) {
  process.stdout.write(`${toSluiceError(thrown).code}\n`);
}
