import path from "node:path";
import type { Inputs } from "./reconciler/desire.ts";
import type { TemplateSource } from "./reconciler/ports.ts";
import type { Reconciler } from "./reconciler/reconciler.ts";
import { loadTemplate, templateFiles } from "./render/template-source.ts";
import { changedKeys, restartKeys, withLiveSettings } from "./settings/compare.ts";
import type { LoadedSettings } from "./settings/load.ts";
import type { Settings } from "./settings/schema.ts";
import type { Clock } from "./support/clock.ts";
import { SluiceError, toSluiceError } from "./support/errors.ts";
import { watchFiles } from "./support/file-watch.ts";
import type { Logger } from "./support/logger.ts";
import { Mutex } from "./support/mutex.ts";

/** Where the settings come from. */
export interface InputSources {
  readonly loaded: LoadedSettings;
  /** Reads the settings again, from all their sources. Throws ERR_SETTINGS_*. */
  readonly reload: () => LoadedSettings;
  readonly logger: Logger;
}

const settleMs = 100;

export type ReadTemplate =
  | { readonly kind: "read"; readonly template: TemplateSource }
  | { readonly kind: "unreadable"; readonly problem: string; readonly thrown: unknown };

/** The template as it is now. Never throws. */
export async function readTemplate(settings: Settings): Promise<ReadTemplate> {
  try {
    return { kind: "read", template: await loadTemplate(settings.template) };
  } catch (thrown) {
    return { kind: "unreadable", problem: toSluiceError(thrown).message, thrown };
  }
}

/** What is in force at the start, and what is on trial beside it. Throws where there has never been a good template. */
export function firstInputs(
  settings: Settings,
  today: ReadTemplate,
  lastGoodTemplate: TemplateSource | undefined,
): { readonly inputs: Inputs; readonly candidate?: Inputs } {
  if (today.kind === "unreadable") {
    if (lastGoodTemplate === undefined) throw today.thrown;
    return { inputs: { settings, template: lastGoodTemplate } };
  }
  const inputs = { settings, template: today.template };
  if (lastGoodTemplate === undefined || lastGoodTemplate.digest === today.template.digest) return { inputs };
  return { inputs: { settings, template: lastGoodTemplate }, candidate: inputs };
}

/**
 * Follows the settings file and the template; offers each new version to the reconciler, also one that was saved between
 * the first reading and the begin of the watch, which takes what it finds for known.
 */
export async function watchInputs(
  options: InputSources,
  today: ReadTemplate,
  reconciler: Reconciler,
  clock: Clock,
): Promise<() => void> {
  const { file } = options.loaded;
  let newest = options.loaded.settings;
  const take = async (changed: readonly string[]) => {
    try {
      // Some editors empty a file before they fill it: what is read now may be the half of it.
      await clock.sleep(settleMs);
      const loaded = options.reload();
      if (saysSomething(options.loaded) && !saysSomething(loaded)) {
        throw new SluiceError(
          "ERR_SETTINGS_UNREADABLE",
          `${file} is empty; write the settings again, or restart to do without`,
        );
      }
      const now = reconciler.trial.inForce.settings;
      const settings = withLiveSettings(now, loaded.settings);
      const waiting = restartKeys(changedKeys(now, loaded.settings));
      newest = settings;
      if (waiting.length > 0) {
        options.logger.warn(
          { settings: waiting },
          `these settings take effect when sluice is started again: ${waiting.join(", ")}`,
        );
      }
      options.logger.info({ files: changed.map((one) => path.basename(one)) }, "settings or template have changed");
      reconciler.offer({ settings, template: await loadTemplate(settings.template) });
    } catch (thrown) {
      reconciler.trial.unreadable(toSluiceError(thrown).message);
      reconciler.trigger("inputs");
    }
  };
  const paths = () => [...(file === undefined ? [] : [file]), ...templateFiles(newest.template)];
  // One after the other: what was read last is what is offered last.
  const turns = new Mutex();
  const watch = watchFiles({ clock, paths, onChange: (changed) => turns.run(() => take(changed)) });
  if (await changedSince(options, today)) await turns.run(() => take([]));
  return () => watch.close();
}

/** Whether settings or template are others than those that were read. */
async function changedSince({ loaded, reload }: InputSources, today: ReadTemplate): Promise<boolean> {
  try {
    if (changedKeys(loaded.settings, reload().settings).length > 0) return true;
    const { digest } = await loadTemplate(loaded.settings.template);
    return today.kind === "unreadable" || today.template.digest !== digest;
  } catch {
    return today.kind === "read";
  }
}

/** Whether any setting comes from the file. */
function saysSomething({ origins }: LoadedSettings): boolean {
  return [...origins.values()].includes("file");
}
