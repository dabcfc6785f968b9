import type { Container, Engine, EngineEvent, ListedContainer } from "../../src/registration/docker/types.ts";

/** An engine that has the containers it is given, tells of events when told to, and can be made to be away. */
export class FakeEngine implements Engine {
  readonly containers = new Map<string, Container>();
  readonly asked: string[] = [];
  away = false;
  /** What it remembers: told to whoever asks from a time before. */
  readonly past: EngineEvent[] = [];
  private readonly listeners = new Set<{ readonly tell: (event: EngineEvent | undefined) => void }>();

  has(...containers: readonly Container[]): void {
    for (const one of containers) this.containers.set(one.id, one);
  }

  async list(): Promise<readonly ListedContainer[]> {
    this.say("list");
    return [...this.containers.values()]
      .filter(({ state }) => state !== "stopped")
      .map(({ id, name, state, health, ports }) => ({
        id,
        name,
        look: JSON.stringify([name, state, health, ports]),
      }));
  }

  async inspect(id: string): Promise<Container | undefined> {
    const found = this.containers.get(id);
    this.say(`inspect ${found?.name}`);
    return found;
  }

  async events(sinceNs: number, signal: AbortSignal): Promise<AsyncIterable<EngineEvent>> {
    this.say("events");
    const waiting: (EngineEvent | undefined)[] = this.past.filter(({ timeNs }) => timeNs >= sinceNs);
    let wake: () => void = () => undefined;
    const listener = {
      tell: (event: EngineEvent | undefined) => {
        waiting.push(event);
        wake();
      },
    };
    this.listeners.add(listener);
    signal.addEventListener("abort", () => listener.tell(undefined), { once: true });
    const { listeners } = this;
    return (async function* () {
      try {
        for (;;) {
          while (waiting.length > 0) {
            const event = waiting.shift();
            if (event === undefined) return;
            yield event;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        listeners.delete(listener);
      }
    })();
  }

  /** Something happens to a container. */
  tell(action: string, container: Container, wallMs: number, signal?: string): void {
    const event = {
      action,
      container: container.id,
      timeNs: wallMs * 1_000_000,
      ...(signal !== undefined && { signal }),
    };
    this.past.push(event);
    for (const { tell } of this.listeners) tell(event);
  }

  /** Ends all streams of events. */
  hangUp(): void {
    for (const { tell } of [...this.listeners]) tell(undefined);
  }

  /** What was asked since the last time. */
  news(): readonly string[] {
    return this.asked.splice(0);
  }

  private say(what: string): void {
    if (this.away) throw new Error("away");
    this.asked.push(what);
  }
}
