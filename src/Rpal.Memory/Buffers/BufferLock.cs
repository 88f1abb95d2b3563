using System.Runtime.CompilerServices;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Buffers;

/// <summary>What a lease needs for being given back.</summary>
/// <param name="Word">The word when it was taken.</param>
/// <param name="Seat">The reader's seat; -1 for a writer.</param>
/// <param name="Owner">What stands in the reader's seat; another for each lease, a writer's too.</param>
internal readonly record struct Take(LockWord Word, int Seat, ulong Owner);

/// <summary>Which lease is asked for.</summary>
internal enum LeaseKind
{
    Read,
    ReadAlone,
    Write,

    /// <summary>A write lease that another party hands over.</summary>
    Accept,
}

/// <summary>A buffer's lock, as one party uses it: each step leaves a word or a seat that names the party. Shared words are read once and checked.</summary>
/// <remarks>It refers to no segment. Its <see cref="OwnedBuffer"/> does, looks at itself after each step here, and so keeps the
/// memory.</remarks>
/// <param name="header">In shared memory.</param>
/// <param name="self">This process.</param>
/// <param name="gate">1 while one of this process's threads picks the buffer up; one for all that use it here.</param>
internal sealed unsafe partial class BufferLock(BufferHeader* header, Party self, StrongBox<int> gate)
{
    /// <summary>Most times that others may change the word between our look at it and our exchange.</summary>
    public const int ContentionLimit = 1000;

    private long _corrupt;

    public LockWord Word => new(Volatile.Read(ref header->Word));

    /// <summary>Here, not in shared memory: whoever spoils the header could reset it.</summary>
    public long CorruptCount => Volatile.Read(ref _corrupt);

    public ulong SeatOwner(int seat) => Volatile.Read(ref header->Seats[seat]);

    /// <summary>Takes it if it can be had now.</summary>
    public BufferStatus Try(LeaseKind kind, out Take take) => kind switch
    {
        LeaseKind.Write => TryWrite(out take),
        LeaseKind.Accept => TryAccept(out take),
        _ => TryRead(kind == LeaseKind.ReadAlone, out take),
    };

    /// <summary>Gives a read lease back.</summary>
    public BufferStatus ReleaseRead(in Take take)
    {
        if (SeatOwner(take.Seat) != take.Owner)
        {
            return Corrupted();                                  // it was given back already, or somebody wrote over it
        }

        BufferStatus status = ClearReader(take.Seat) ? BufferStatus.Released : Corrupted();      // SYNC buffer-content: released
        KillPoints.Reach(KillPoint.BufferReadReleased);
        _ = Interlocked.CompareExchange(ref header->Seats[take.Seat], 0, take.Owner);            // a full fence: the seat is free before Wake looks
        Wake();
        return status;
    }

    /// <summary>Gives a write lease back.</summary>
    /// <param name="take">The lease.</param>
    /// <param name="complete">Whether the content is what the writer meant it to be; else it is marked torn.</param>
    public BufferStatus ReleaseWrite(in Take take, bool complete)
    {
        KillPoints.Reach(KillPoint.BufferWritten);
        if (!TryLeave(take.Word, take.Word.Freed(!complete)))    // SYNC buffer-content: released
        {
            return Corrupted();
        }

        KillPoints.Reach(KillPoint.BufferWriteReleased);
        Wake();
        return BufferStatus.Released;
    }

    /// <summary>Makes the write lease another party's.</summary>
    public BufferStatus HandOver(in Take take, Party to)
    {
        KillPoints.Reach(KillPoint.BufferHandingOver);
        if (!TryLeave(take.Word, take.Word.HandedTo(to)))        // SYNC buffer-content: released
        {
            return Corrupted();
        }

        KillPoints.Reach(KillPoint.BufferHandedOver);
        Wake();
        return BufferStatus.HandedOver;
    }

    /// <summary>Takes back what was handed over, if nobody has picked it up or cleared it away.</summary>
    public bool TakeBack(in Take take, Party to) => Exchange(take.Word.HandedTo(to), take.Word);

    private BufferStatus TryWrite(out Take take)
    {
        take = default;
        for (int attempt = 0; attempt < ContentionLimit; attempt++)
        {
            LockWord word = Word;
            if (!word.IsSane)
            {
                return Corrupted();
            }

            if (!word.IsFree)
            {
                return word.Writer >= 0 ? BufferStatus.HeldByWriter : BufferStatus.HeldByReaders;
            }

            LockWord taken = word.TakenBy(self.Number, CallingThread.Id);
            if (Exchange(word, taken))                           // SYNC buffer-content: acquired
            {
                KillPoints.Reach(KillPoint.BufferWriteTaken);
                take = new Take(taken, -1, NextOwner());
                return BufferStatus.Taken;
            }
        }

        return BufferStatus.HeldByReaders;                       // others came first each time
    }

    private BufferStatus TryAccept(out Take take)
    {
        LockWord word = Word;
        take = default;
        if (!word.IsSane)
        {
            return Corrupted();
        }

        if (!word.IsHandedTo(self) || Interlocked.Exchange(ref gate.Value, 1) != 0)
        {
            return BufferStatus.NotHandedOver;                   // or another of our threads is picking it up
        }

        // What is on its way to a party that lives is changed by nobody but that party, and of its threads by the one in the gate. So a store is enough, and the content is read while it goes out.
        bool isOurs = Word == word;
        LockWord taken = word.AcceptedBy(self.Number, CallingThread.Id);
        if (isOurs)
        {
            Volatile.Write(ref header->Word, taken.Value);       // SYNC buffer-content: acquired, by the look
        }

        Volatile.Write(ref gate.Value, 0);
        if (!isOurs)
        {
            return BufferStatus.NotHandedOver;
        }

        KillPoints.Reach(KillPoint.BufferAccepted);
        take = new Take(taken, -1, NextOwner());
        return BufferStatus.Taken;
    }

    private BufferStatus TryRead(bool alone, out Take take)
    {
        take = default;
        BufferStatus status = CanRead(Word, alone);
        if (status != BufferStatus.Taken)
        {
            return status;
        }

        ulong owner = NextOwner();
        if (!TrySit(owner, out int seat))
        {
            return BufferStatus.TooManyReaders;
        }

        KillPoints.Reach(KillPoint.BufferSeatClaimed);
        for (int attempt = 0; attempt < ContentionLimit && status == BufferStatus.Taken; attempt++)
        {
            LockWord word = Word;
            status = CanRead(word, alone);
            LockWord taken = word.WithReader(seat, alone);
            if (status == BufferStatus.Taken && Exchange(word, taken))        // SYNC buffer-content: acquired
            {
                KillPoints.Reach(KillPoint.BufferReadTaken);
                take = new Take(taken, seat, owner);
                return BufferStatus.Taken;
            }
        }

        _ = Interlocked.CompareExchange(ref header->Seats[seat], 0, owner);
        Wake();                                                  // of whoever waits for a seat
        return status == BufferStatus.Taken ? BufferStatus.HeldByReaders : status;
    }

    private ulong NextOwner() => ReaderSeat.Of(self.Number, CallingThread.Id, CallingThread.NextSerial());

    private BufferStatus CanRead(LockWord word, bool alone) =>
        !word.IsSane ? Corrupted()
        : word.Writer >= 0 ? BufferStatus.HeldByWriter
        : word.IsExclusive || alone && word.Readers != 0 ? BufferStatus.HeldByReaders
        : BufferStatus.Taken;

    private bool TrySit(ulong owner, out int seat)
    {
        for (seat = 0; seat < LockWord.ReaderBits; seat++)
        {
            if (SeatOwner(seat) == 0 && Interlocked.CompareExchange(ref header->Seats[seat], owner, 0) == 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Only by the seat's owner, or for a dead one.</summary>
    private bool ClearReader(int seat)
    {
        for (int attempt = 0; attempt < ContentionLimit; attempt++)
        {
            LockWord word = Word;
            if (!word.HasReader(seat))
            {
                return false;
            }

            if (Exchange(word, word.WithoutReader(seat)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// A writer's word is changed by that writer alone: nobody takes what it holds, and it is not dead. So a store is enough, and it goes out right behind the content's; an exchange would first
    /// wait until all of that has arrived, and the other side that much longer. The fence is for <see cref="Wake"/>, when the other side can go on already.
    /// </summary>
    private bool TryLeave(LockWord from, LockWord to)
    {
        if (Word != from)
        {
            return false;                                        // somebody wrote over it
        }

        Volatile.Write(ref header->Word, to.Value);
        Interlocked.MemoryBarrier();
        return true;
    }

    private bool Exchange(LockWord from, LockWord to) => Interlocked.CompareExchange(ref header->Word, to.Value, from.Value) == from.Value;

    private BufferStatus Corrupted()
    {
        Interlocked.Increment(ref _corrupt);
        return BufferStatus.Corrupt;
    }
}
