/**
 * Runs `work` on each item, at most `atOnce` at a time, and takes the results in the items' order: each as soon as it and those before
 * it are there.
 */
export async function inOrder<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
  take: (result: Result) => void,
): Promise<void> {
  const results = new Map<number, Result>()
  const waiting = items.entries()
  let taken = 0
  const lane = async () => {
    for (const [index, item] of waiting) {
      results.set(index, await work(item))
      for (; results.has(taken); taken++) {
        take(results.get(taken)!)
        results.delete(taken)
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}
