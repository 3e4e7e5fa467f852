// How a script says what it saw: a line per promise, and a last line with their number.

import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual, inspect } from 'node:util'

export const HOST = process.env.BROKER_HOST
export const PORT = Number(process.env.BROKER_PORT)
// Some promises are skein's own; other brokers keep the specification differently.
const IS_SKEIN = process.env.BROKER_KIND === 'skein'

// Longest wait for anything that must come, in milliseconds.
export const PATIENCE_MS = 10_000

// Topics and client ids of this run begin with it, so that no script meets another one's messages.
const RUN = `j${randomBytes(5).toString('hex')}`

const promises = []

// Registers one promise to check. `deviation` says how a broker other than skein is known to break
// it: its failure is then told as a note.
export function promise(name, check, { deviation } = {}) {
  promises.push({ name, check, deviation })
}

export function note(name, text) {
  console.log(`note ${name}: ${text}`)
}

// Checks all promises of the script, in their order, and ends it.
export async function checkPromises() {
  let asked = 0
  let kept = 0
  for (const { name, check, deviation } of promises) {
    try {
      await check()
      console.log(`ok ${name}`)
      asked += 1
      kept += 1
    } catch (failure) {
      const why = `${failure}`.replaceAll(/\s+/g, ' ').slice(0, 600)
      if (deviation && !IS_SKEIN) {
        note(name, `${deviation} (${why})`)
        continue
      }
      console.log(`not ok ${name}: ${why}`)
      console.error(failure)
      asked += 1
    }
  }
  console.log(`1..${asked}`)
  // Connections that a broken promise left behind must not keep the script alive.
  process.exitCode = kept === asked ? 0 : 1
  process.stdout.write('', () => process.exit())
}

// Fails with both values when they differ.
export function expect(seen, wanted, what) {
  if (!isDeepStrictEqual(seen, wanted)) {
    throw new Error(
      `${what}: wanted ${inspect(wanted, { depth: 4 })}, got ${inspect(seen, { depth: 4 })}`
    )
  }
}

export function expectThat(condition, what) {
  if (!condition) throw new Error(what)
}

// A topic level or client id of this run.
export function unique(name) {
  return `${RUN}-${name}`
}

// Lets time pass where time is what is tested; never to wait for something that can be awaited.
export function letPass(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

// The numbers from 0 up to below `end`.
export function range(end) {
  return Array.from({ length: end }, (_, index) => index)
}
