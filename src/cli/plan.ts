import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { type Command, Option } from "commander";
import { parseConfig } from "../haproxy/config/parse.ts";
import { planChanges } from "../haproxy/plan/plan.ts";
import type { Desired, Plan } from "../haproxy/plan/types.ts";
import { checkBinary } from "../haproxy/process/validate.ts";
import { capabilitiesOf } from "../haproxy/runtime/capabilities.ts";
import { type StatePaths, statePaths } from "../store/paths.ts";
import { SluiceError, systemErrorCode } from "../support/errors.ts";
import { acceptedBefore, snapshotFor, wishFor } from "./offline.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** `sluice plan`: what would change now, and why. Changes nothing. */
export function addPlanCommand(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command("plan")
    .description("say what would change now, at run time or by a reload, and why; changes nothing")
    .option("--snapshot <file>", "a snapshot file instead of Consul, such as the state directory's snapshot.json")
    .addOption(new Option("--fail-on <what>", "exit with 3 when the plan holds this").choices(["reload", "change"]))
    .option("--json", "the plan as JSON")
    .addHelpText("after", "\nExample:\n  sluice plan --settings sluice.yaml --template new.cfg.njk --fail-on reload");
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const options = command.opts<{ snapshot?: string; failOn?: "reload" | "change"; json?: boolean }>();
    const snapshot = await snapshotFor(settings, options.snapshot, new AbortController().signal);
    const paths = statePaths(settings.haproxy.directory);
    const haproxyVersion = (await checkBinary(settings.haproxy.binary)).text;
    const previous = await acceptedBefore(paths);
    const { desired } = await wishFor(settings, snapshot, paths, { haproxyVersion, previous });
    const plan = planChanges({
      current: await committed(paths),
      wanted: desired,
      capabilities: capabilitiesOf(haproxyVersion, ""),
      leaving: new Map(),
    });
    const changes = plan.operations.length > 0 || plan.reload !== undefined;
    const caught = options.failOn === "reload" ? plan.reload !== undefined : options.failOn === "change" && changes;
    outcome.exitCode = caught ? 3 : 0;
    terminal.out(options.json === true ? `${JSON.stringify(plan, undefined, 2)}\n` : described(plan));
  });
}

function described(plan: Plan): string {
  if (plan.changes.length === 0) return "nothing would change\n";
  const lines = plan.changes.map(({ subject, sentence }) => `  ${subject}: ${sentence}\n`);
  const how =
    plan.reload === undefined
      ? `${plan.operations.length} operations at run time, no reload\n`
      : `${plan.operations.length} operations at run time and one reload (${plan.reload.length} reasons)\n`;
  return lines.join("") + how;
}

/** The live file and its maps: what HAProxy runs, but for the lag of the file. */
async function committed(paths: StatePaths): Promise<Desired> {
  const text = await readOr(paths.config, "");
  const maps = new Map<string, string>();
  for (const entry of await readdir(paths.maps, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    maps.set(file, await readOr(file, ""));
  }
  return { config: parseConfig(text), maps };
}

async function readOr(file: string, otherwise: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (thrown) {
    if (systemErrorCode(thrown) === "ENOENT") return otherwise;
    throw new SluiceError(
      "ERR_STATE_UNUSABLE",
      `${file} cannot be read (${systemErrorCode(thrown)}); run plan as the user that runs the operator`,
      { cause: thrown },
    );
  }
}
