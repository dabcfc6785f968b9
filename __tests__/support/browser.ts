import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type BrowserContext, chromium } from "playwright-core";

/** Where Debian's package `chromium` has it; elsewhere `SLUICE_CHROMIUM` names it. */
const binary = process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium";

const flags = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A test shows what this machine serves: no other host is known.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/** For its start, and for each thing it is asked for: how long a busy machine may take, not a measure of speed. */
const patienceMs = 60_000;

export interface BrowserOptions {
  /** What it answers a server that asks for a name and a password. Default: nothing, the page stays a 401. */
  readonly user?: string;
  readonly password?: string;
}

/** A window of a browser that knows nothing of any other test. */
export interface TestBrowser {
  readonly context: BrowserContext;
  /** Ends the browser and removes what it kept. */
  stop(): Promise<void>;
}

/** Starts Chromium without a screen, in a profile of its own, with a window of 1280 by 800. It dies with this process. */
export async function startBrowser({ user, password }: BrowserOptions = {}): Promise<TestBrowser> {
  if (!existsSync(binary)) throw new Error(`${binary} is needed and not there; install Debian's package chromium`);
  const profile = await mkdtemp(path.join(tmpdir(), "sluice-browser-"));
  const remove = () => rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  try {
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: binary,
      timeout: patienceMs,
      headless: true,
      // It refuses its sandbox to root, and has only pages of ours to guard against.
      chromiumSandbox: false,
      args: flags,
      viewport: { width: 1280, height: 800 },
      colorScheme: "light",
      locale: "en-GB",
      ...(user !== undefined && password !== undefined && { httpCredentials: { username: user, password } }),
    });
    context.setDefaultTimeout(patienceMs);
    return {
      context,
      stop: async () => {
        await context.close();
        await remove();
      },
    };
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}
