import { expect, test } from "@jest/globals";
import { Slots } from "../../../src/catalog/slots.ts";

const never = new AbortController().signal;

test("lets as many in as there are slots, in the order of asking, and a task that fails frees its own", async () => {
  const slots = new Slots(2);
  const inside: number[] = [];
  const leave: Array<(fail: boolean) => void> = [];
  const ask = (id: number) =>
    slots.run(
      () =>
        new Promise<void>((resolve, reject) => {
          inside.push(id);
          leave.push((fail) => (fail ? reject(new Error("failed")) : resolve()));
        }),
      never,
    );
  const tasks = [ask(1), ask(2), ask(3), ask(4)].map((task) => task.catch(() => "failed"));
  expect(inside).toEqual([1, 2]);
  leave[1]?.(true);
  await tasks[1];
  expect(inside).toEqual([1, 2, 3]);
  leave[0]?.(false);
  await tasks[0];
  expect(inside).toEqual([1, 2, 3, 4]);
  leave[2]?.(false);
  leave[3]?.(false);
  expect(await Promise.all(tasks)).toEqual([undefined, "failed", undefined, undefined]);
});

test("whoever is aborted while waiting leaves the queue", async () => {
  const slots = new Slots(1);
  let leave = () => undefined as unknown;
  const first = slots.run(() => new Promise<void>((resolve) => (leave = resolve as () => unknown)), never);
  const abort = new AbortController();
  const second = slots.run(async () => "second", abort.signal);
  const third = slots.run(async () => "third", never);
  const reason = new Error("enough");
  abort.abort(reason);
  await expect(second).rejects.toBe(reason);
  leave();
  await first;
  expect(await third).toBe("third");
});
