import { setTimeout as sleep } from "node:timers/promises";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { registration } from "../support/web-instance.ts";
import type { AskingClient } from "./keep-alive-client.ts";

export interface Contender {
  readonly name: string;
  readonly service: string;
  readonly client: AskingClient;
  /** The instance that comes and goes. */
  readonly instance: { readonly name: string; readonly port: number };
  readonly tags: readonly string[];
  readonly joins: number[];
  readonly leaves: number[];
}

const quietMs = 120;

/**
 * One round: from the registration call to the first answer of the new instance, and from the deregistration call to
 * its last. Both in ms.
 */
export async function round(consul: ConsulAgent, contender: Contender): Promise<void> {
  const { client, instance, service, tags } = contender;
  client.setAsking(true);
  await sleep(quietMs);
  const first = client.firstAnswerOf(instance.name, 20_000);
  const joined = performance.now();
  await consul.register(registration(service, instance, { Tags: tags }));
  contender.joins.push((await first) - joined);
  // Long enough for what follows behind a change (file, validation) to be over before the next one.
  await sleep(quietMs + 600);
  const left = performance.now();
  await consul.deregister(instance.name);
  await sleep(quietMs);
  while (performance.now() - client.lastAnswerOf(instance.name) < quietMs) await sleep(10);
  contender.leaves.push(Math.max(0, client.lastAnswerOf(instance.name) - left));
  // The other contender's round has the machine for itself.
  client.setAsking(false);
  await sleep(600);
}
