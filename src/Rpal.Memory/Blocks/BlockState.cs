namespace Rpal.Memory.Blocks;

/// <summary>Whose a block is.</summary>
/// <remarks><code>
///            allocate: popped, then claimed              free
///   Free ──────────────────────────────────► Owned ─────────────► Releasing ──(on the list)──► Free
///                                            │   ▲                    the releaser, or whoever finds it on top of a list
///                                      offer │   │ accept (or taken back: the receiver has died)
///                                            ▼   │
///                                          Offered ──offerer died──► Orphaned ──accept──► Owned
///                                                                        └──FreeOrphans──► Releasing
///
///   any of them, its party dead ──recovery──► Releasing (in the dead one's name) ──► Free
///   Free on no list, nobody having claimed it ──recovery──► the same
/// </code></remarks>
internal enum BlockState : byte
{
    /// <summary>On a list, or popped and not yet claimed.</summary>
    Free = 0,

    /// <summary>A party uses it.</summary>
    Owned = 1,

    /// <summary>A party is putting it on a list, or has and has not said so.</summary>
    Releasing = 2,

    /// <summary>Given to a party that has not taken it yet. The giver may not touch it any more.</summary>
    Offered = 3,

    /// <summary>As <see cref="Offered"/>, and the giver has died.</summary>
    Orphaned = 4,
}
