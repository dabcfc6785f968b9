import path from "node:path";
import { listText } from "./haproxy/config/certificate-list.ts";
import { SectionCache } from "./haproxy/config/parse.ts";
import { haproxyEnvironment } from "./haproxy/process/environment.ts";
import { validateConfig } from "./haproxy/process/validate.ts";
import type { OperatorTls } from "./operator-tls.ts";
import { candidateOf } from "./reconciler/candidate.ts";
import { explain } from "./reconciler/commit.ts";
import { createDesire } from "./reconciler/desire.ts";
import type { TemplateSource } from "./reconciler/ports.ts";
import { Renderer } from "./render/renderer.ts";
import type { Settings } from "./settings/schema.ts";
import type { Store } from "./store/store.ts";
import { type Clock, systemClock } from "./support/clock.ts";
import { SluiceError, toSluiceError } from "./support/errors.ts";
import type { Logger } from "./support/logger.ts";
import { version } from "./version.ts";

export interface BootstrapInput {
  readonly settings: Settings;
  readonly store: Store;
  readonly template: TemplateSource;
  readonly tls: OperatorTls;
  /** Of the binary, as templates may ask for it. */
  readonly haproxyVersion: string;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/**
 * Writes the first haproxy.cfg, with all it refers to, as the template makes it of a catalog without a service: entry
 * points, fallback pages, stats. HAProxy can be started on it while nobody knows yet what Consul says. The file comes
 * last, so that where there is one all it needs is there.
 *
 * @throws {SluiceError} ERR_HAPROXY_CONFIG_INVALID when `haproxy -c` does not take it; what the renderer and the store
 *   throw; nothing is in place then
 */
export async function writeBootstrap(input: BootstrapInput): Promise<void> {
  const { settings, store, template, tls, haproxyVersion, clock = systemClock } = input;
  const { signal = new AbortController().signal } = input;
  const { paths } = store;
  // Taken before the working directory becomes the state directory.
  const { binary } = settings.haproxy;
  const program = binary.includes("/") ? path.resolve(binary) : binary;
  const renderer = new Renderer({ paths, version, haproxyVersion, material: tls.material });
  const wish = createDesire(renderer, new SectionCache(), paths.runtimeSocket)(
    new Map(),
    { settings, template },
    new Map(),
  );
  await writeCertificates(store, tls);
  const validate = (file: string) =>
    validateConfig({
      binary: program,
      file,
      clock,
      signal,
      environment: haproxyEnvironment(process.env),
      directory: paths.directory,
    });
  const { text, verdict } = await candidateOf({ process: { validate }, store }, wish, signal);
  if (!verdict.ok) {
    const problems = explain(verdict.problems, text);
    const message = `HAProxy does not take the first configuration: ${problems.join("; ")}; correct settings or template`;
    throw new SluiceError("ERR_HAPROXY_CONFIG_INVALID", message, { details: { problems } });
  }
  for (const [file, content] of wish.desired.maps) await store.writeMap(file, content);
  await store.writeConfig(text);
}

/** The same where there is no file yet. What goes wrong is said: the operator goes on, and tries with what it learns. */
export async function tryBootstrap(input: BootstrapInput, logger: Logger): Promise<void> {
  const { store } = input;
  try {
    if ((await store.readConfig()) !== undefined) return;
    await writeBootstrap(input);
    logger.info({ file: store.paths.config }, "the first haproxy.cfg is in place: HAProxy can be started");
  } catch (thrown) {
    const error = toSluiceError(thrown);
    logger.warn({ error }, `there is no haproxy.cfg yet, and the first one cannot be made: ${error.message}`);
  }
}

async function writeCertificates(store: Store, { certificates }: OperatorTls): Promise<void> {
  if (certificates === undefined) return;
  const all = certificates.latest();
  for (const { file, pem } of all) await store.writeCertificate(file, pem.reveal());
  await store.writeCertificate(certificates.list, listText(all));
}
