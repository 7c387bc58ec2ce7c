/** An address and port that a converter listens on. */
export interface ListenAddress {
  /** An address literal; `0.0.0.0` and `::` listen on every address of their own family only. */
  host: string
  /** 0…65535; 0 lets the kernel choose. */
  port: number
}
