import { serveAdmin } from "./admin/server.ts";
import { tryBootstrap } from "./bootstrap.ts";
import { ConsulCatalog } from "./catalog/catalog.ts";
import { SectionCache } from "./haproxy/config/parse.ts";
import { BinaryWatch } from "./haproxy/process/binary-watch.ts";
import type { OtherVersion } from "./haproxy/process/external-process.ts";
import { openProcess } from "./haproxy/process/open-process.ts";
import { checkBinary } from "./haproxy/process/validate.ts";
import { RuntimeClient } from "./haproxy/runtime/client.ts";
import { firstInputs, type InputSources, readTemplate, watchInputs } from "./operator-inputs.ts";
import { openRegistration } from "./operator-registration.ts";
import { operatorStatus } from "./operator-status.ts";
import { certificatesStatus, type OperatorTls, openTls } from "./operator-tls.ts";
import { answerWhy } from "./operator-why.ts";
import type { ReconcilerParts } from "./reconciler/beginning.ts";
import { EventLog } from "./reconciler/events.ts";
import type { StorePort, TemplateSource } from "./reconciler/ports.ts";
import { Reconciler } from "./reconciler/reconciler.ts";
import { runningFromFile } from "./reconciler/structure.ts";
import { Renderer } from "./render/renderer.ts";
import { templateFromSources } from "./render/template-source.ts";
import { acceptedToJson, parseAccepted } from "./store/accepted-file.ts";
import { openStore, type Store } from "./store/store.ts";
import { systemClock } from "./support/clock.ts";
import type { LeveledLogger } from "./support/create-logger.ts";
import { probeTcp } from "./support/tcp-probe.ts";
import { version } from "./version.ts";

/** What the reconciler sees the world through. */
export type OperatorPorts = Omit<ReconcilerParts, "events" | "sections" | "runtimeSocket" | "onInputs" | "onRegisters">;

export interface OperatorOptions extends InputSources {
  readonly logger: LeveledLogger;
  /** For tests that break one of the ports: what the reconciler gets in their place. Default: the ports themselves. */
  readonly wrap?: (ports: OperatorPorts) => OperatorPorts;
}

/** How long a stop waits for the file to catch up with the process. */
const lastWriteMs = 1_000;

/**
 * Builds the parts and runs them until the signal aborts: store, HAProxy, catalog, reconciler, admin socket, file
 * watches; then ends them in reverse. What HAProxy does afterwards is `haproxy.onStop`.
 *
 * @throws {SluiceError} when it cannot start at all: no haproxy binary, state directory locked or unusable, a template
 *   that was never good. What fails later is said and survived.
 */
export async function runOperator(options: OperatorOptions, signal: AbortSignal): Promise<void> {
  const { logger } = options;
  const { settings } = options.loaded;
  const clock = systemClock;
  const startedAt = new Date().toISOString();
  const binary = await checkBinary(settings.haproxy.binary);
  const store = await openStore(settings.haproxy.directory, { logger, signal }).catch((thrown) => {
    if (signal.aborted && thrown === signal.reason) return undefined;
    throw thrown;
  });
  if (store === undefined) {
    logger.info({}, "sluice was stopped while it waited for the state directory");
    return;
  }
  // The parts end by this signal, which follows the caller's once the file has caught up.
  const life = new AbortController();
  let tls: OperatorTls | undefined;
  try {
    const events = new EventLog(clock, logger);
    const runtime = new RuntimeClient({ socketPath: store.paths.runtimeSocket, clock, logger });
    const sayBinary = (now: string, was: string) =>
      events.emit(
        "binary-changed",
        "info",
        now === was ? `HAProxy's binary was replaced by another ${now}` : `HAProxy's binary is now ${now}, was ${was}`,
        { now, was },
      );
    const binaryWatch = new BinaryWatch({
      binary: settings.haproxy.binary,
      version: binary,
      clock,
      onChange: ({ now, was }) => {
        sayBinary(now.text, was.text);
        if (now.text === was.text) return;
        renderer.haproxyVersion = now.text;
        reconciler.binaryChanged(now.text);
      },
    });
    const before = store.state().haproxy;
    if (before !== undefined && before !== binary.text) sayBinary(binary.text, before);
    const haproxy = openProcess({
      settings: settings.haproxy,
      paths: store.paths,
      clock,
      logger,
      binaryWatch,
      onOtherVersion: (versions) => events.emit("version-differs", "warn", otherVersion(versions), { ...versions }),
    });
    // A connection that HAProxy closes is the first sign of its end.
    runtime.onClose(() => haproxy.suspect());
    haproxy.onExit(() => runtime.disconnect());
    const renderer = new Renderer({ paths: store.paths, version, haproxyVersion: binary.text });
    const today = await readTemplate(settings);
    const opened = await openTls({
      settings,
      paths: store.paths,
      kept: await store.readCertificates(),
      clock,
      emit: (...event) => events.emit(...event),
    });
    tls = opened;
    renderer.material = opened.material;
    // Whoever starts HAProxy needs a file to start it on, and does not wait for Consul.
    if (settings.haproxy.mode === "external" && today.kind === "read") {
      await tryBootstrap({ settings, store, template: today.template, tls, haproxyVersion: binary.text }, logger);
    }
    const kept = await store.readCertificates();
    const known = await lastGood(store, logger);
    const catalog = new ConsulCatalog({
      settings: settings.consul,
      services: settings.services,
      remembered: known.beginning.accepted?.services.values() ?? [],
      clock,
      logger,
    });
    const first = firstInputs(settings, today, known.template);
    const ports: OperatorPorts = {
      catalog,
      runtime,
      process: haproxy,
      store: storePort(
        store,
        () => clock.wall(),
        () => binaryWatch.version.text,
      ),
      render: renderer,
      ...(opened.certificates !== undefined && { certificates: opened.certificates }),
      probe: { probe: probeTcp },
      clock,
    };
    const registered = openRegistration(settings, clock, logger);
    const reconciler = new Reconciler(
      {
        ...(options.wrap?.(ports) ?? ports),
        events,
        sections: new SectionCache(),
        runtimeSocket: store.paths.runtimeSocket,
        onInputs: (inputs) => {
          logger.setLevel(inputs.settings.log.level);
          catalog.setServices(inputs.settings.services);
        },
        onRegisters: (names) => registered?.want(names),
      },
      { ...first, ...known.beginning, certificates: kept },
    );
    if (today.kind === "unreadable") reconciler.trial.unreadable(today.problem);
    const closeAdmin = await serveAdmin(store.paths.adminSocket, {
      status: () =>
        operatorStatus(reconciler.status(), catalog.status(), certificatesStatus(opened), events, startedAt),
      resync: () => reconciler.resync(),
      release: (target) => reconciler.release(target),
      why: (query) => answerWhy(query, { reconciler, catalog, runtime, clock }),
    });
    const closeWatch = await watchInputs(options, today, reconciler, clock);
    opened.follow((material) => {
      renderer.material = material;
      reconciler.trigger("credentials");
    });
    logger.info(
      {
        directory: store.paths.directory,
        consul: settings.consul.address,
        haproxy: binary.text,
        generation: known.beginning.generation,
      },
      `sluice runs: state in ${store.paths.directory}, HAProxy ${binary.text}, Consul at ${settings.consul.address}`,
    );
    const running = [catalog.run(life.signal), reconciler.run(life.signal), registered?.run(life.signal)];
    await aborted(signal);
    const deadline = clock.now() + lastWriteMs;
    while (reconciler.committer.lagMs() !== undefined && clock.now() < deadline) await clock.sleep(10);
    life.abort();
    closeWatch();
    await Promise.all(running);
    await closeAdmin();
    runtime.close();
    if (reconciler.trial.inForce.settings.haproxy.onStop === "stop") {
      await registered?.release();
      await haproxy.stop();
    } else haproxy.release();
    logger.info({}, "sluice has stopped");
  } finally {
    life.abort();
    tls?.close();
    await store.close();
  }
}

function otherVersion({ running, binary }: OtherVersion): string {
  return `HAProxy ${running} runs, and haproxy.binary is ${binary}: what the one judges the other has to run; use the same version for both`;
}

/** What the state directory knows. A part that is broken is said and done without. */
async function lastGood(store: Store, logger: LeveledLogger) {
  const text = await store.readConfig();
  const maps = await store.readMaps();
  const json = await store.readSnapshot();
  const { generation, leaving } = store.state();
  const accepted = json === undefined ? undefined : readAccepted(json, logger);
  const sources = await store.readTemplate();
  const quarantine = await store.readQuarantine();
  return {
    template: sources === undefined ? undefined : templateOf(sources),
    beginning: {
      ...(text !== undefined && { running: runningFromFile(text, maps) }),
      ...(accepted !== undefined && { accepted }),
      ...(quarantine !== undefined && { quarantine: { ...quarantine, haproxy: quarantine.haproxy } }),
      generation,
      leaving,
    },
  };
}

function readAccepted(json: unknown, logger: LeveledLogger) {
  try {
    return parseAccepted(json);
  } catch (thrown) {
    logger.warn(
      { error: thrown },
      "the last good snapshot is broken and is not used; Consul's next answer replaces it",
    );
    return undefined;
  }
}

/** @param haproxy version of the binary, which has accepted what is committed */
function storePort(store: Store, wall: () => number, haproxy: () => string): StorePort {
  return {
    ...store,
    saveState: (change) => store.saveState({ ...change, haproxy: haproxy() }),
    writeAccepted: (accepted) => store.writeSnapshot(acceptedToJson(accepted, wall())),
    writeTemplate: (template) => store.writeTemplate({ ...template.sources, [pathKey]: template.path }),
  };
}

/** Under this name, which no file can have, the main template's path goes with its sources. */
const pathKey = "\0path";

function templateOf(stored: Readonly<Record<string, string>>): TemplateSource | undefined {
  const { [pathKey]: main, ...sources } = stored;
  return main === undefined ? undefined : templateFromSources(main, sources);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
