using System.Collections;
using Rpal.Memory.Parties;
using Rpal.Memory.PerCpu;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Blocks;

/// <summary>
/// Gives back a dead party's blocks, and those that it had popped or not yet pushed. One at a time for a segment; while others allocate and free.
/// </summary>
/// <remarks>
/// <para>1. All words are copied. 2. Who lives is asked: after 1, so that a party in a word is not taken for dead before it came; before 3, so that a dead one's last push is on a list
/// when that is emptied. 3. All lists are emptied block by block, CPUs' lanes on their CPUs. 4. Each block whose party is dead, each that is Free and was not on a list though its word is the same as before, and each that was on a list, goes (back) on the common list.</para>
/// <para>A block that was Free all the time from 1 to 4 without being on a list was popped by somebody who has not claimed it. If that one lives, either it or
/// recovery wins the word, and whoever loses lets go of it. Everything is done in the dead party's name, so a recoverer that dies half way leaves what the
/// next recovery of that same party does again. Source: docs/adr/0015, models/pool.pml.</para>
/// </remarks>
internal sealed class BlockPoolRecovery
{
    private readonly PoolMemory _m;
    private readonly PartyTable _parties;
    private readonly int _dead;
    private readonly ulong[] _before;
    private readonly BitArray _onList;
    private bool _isBlind;
    private ulong _moved;
    private readonly Party?[] _live = new Party?[PartyTable.Capacity];

    private BlockPoolRecovery(PoolMemory m, PartyTable parties, int dead)
    {
        (_m, _parties, _dead) = (m, parties, dead);
        _before = new ulong[m.Count];
        _onList = new BitArray((int)m.Count);
    }

    /// <summary>Under the segment's recovery lock.</summary>
    public static unsafe void Recover(Part part, int deadParty)
    {
        if (PoolMemory.TryOpen(part) is not { } m)
        {
            return;                                              // its header makes no sense: there is nothing that could be given back
        }

        Volatile.Write(ref m.Header->Recovering, 1);             // SYNC recovering: pairs with BlockPool.WaitForRecovery
        KillPoints.Reach(KillPoint.PoolRecovering);
        new BlockPoolRecovery(m, part.Segment.Parties, deadParty).Run();
        Volatile.Write(ref m.Header->Recovering, 0);
    }

    private unsafe void Run()
    {
        for (uint i = 0; i < _m.Count; i++)
        {
            _before[i] = _m.Word(i).Value;
        }

        for (int n = 0; n < PartyTable.Capacity; n++)
        {
            _live[n] = n == _dead ? null : _parties.Find(n);
        }

        EmptyLanes();
        for (uint list = 0; list <= _m.CacheCount; list++)
        {
            Empty(list);
        }

        ulong recovered = 0;
        foreach (uint i in BlockPoolLayout.Spread(_m.Count))
        {
            BlockWord before = new(_before[i]);
            if (_onList[(int)i])
            {
                _ = TryReturn(i, _m.Word(i), BlockState.Free);
            }
            else if (IsLost(before))
            {
                recovered += TryReturn(i, before, before.State) ? 1u : 0u;
            }
            else
            {
                Orphan(i, before);
            }
        }

        Interlocked.Add(ref _m.Header->Recovered, recovered);
        _m.CountMoved(_moved);
        Volatile.Write(ref _m.Header->Unfinished, _isBlind ? Math.Max(1, Volatile.Read(ref _m.Header->Unfinished) + 1) : 0);
    }

    /// <summary>Each on its CPU, by sections. What lies on one that cannot be emptied is found by those who run there; but then nothing tells a Free block that lies there from one that is lost.</summary>
    private void EmptyLanes()
    {
        for (uint cpu = 0; cpu < _m.CacheCount; cpu++)
        {
            uint lane = cpu;
            bool isEmptied = false;
            if (cpu >= PossibleCpus.Count)
            {
                BlockLanes.Reset(_m, cpu);                       // no thread was ever there: what is there is somebody's invention
            }
            else if (!BlockLanes.IsEmpty(_m, cpu))
            {
                _ = BlockLanes.AreUsable && CpuVisit.TryOn(cpu, () => isEmptied = TryEmptyLane(lane));
                _isBlind |= !isEmptied;
            }
        }
    }

    /// <summary>A moment in which it is empty is enough: a dead one's last push is before, and a live one's are its own business.</summary>
    private bool TryEmptyLane(uint cpu)
    {
        for (uint attempt = 0; attempt <= 2 * _m.Count; attempt++)                  // others push while this pops
        {
            PopResult found = BlockLanes.TryPop(_m, out uint index, out _);
            if (found == PopResult.Empty && BlockLanes.IsEmpty(_m, cpu))
            {
                return true;
            }

            if (found == PopResult.Corrupt || (found == PopResult.Popped && !TryNote(index)))
            {
                _m.Refuse(BlockStatus.Corrupt);
                BlockLanes.Reset(_m, cpu);
                return true;
            }
        }

        return false;
    }

    private void Empty(uint list)
    {
        for (uint popped = 0; popped <= _m.Count; popped++)
        {
            PopResult found = BlockList.TryPop(_m, list, out uint index, out _);
            if (found == PopResult.Empty)
            {
                return;
            }

            if (found == PopResult.Corrupt || !TryNote(index))
            {
                break;
            }
        }

        _m.Refuse(BlockStatus.Corrupt);
        BlockList.Reset(_m, list);
    }

    /// <summary>At most each block once: what was popped does not come back before it is pushed below.</summary>
    private bool TryNote(uint index)
    {
        bool isNew = !_onList[(int)index];
        _onList[(int)index] = true;
        KillPoints.Reach(KillPoint.PoolEmptied);
        return isNew;
    }

    /// <summary>A block that may lie on a lane that was not emptied is left alone; the next recovery that sees more finds it.</summary>
    private bool IsLost(BlockWord before) => before.State switch
    {
        BlockState.Free => !_isBlind,
        BlockState.Owned or BlockState.Offered or BlockState.Orphaned => !Lives(before),
        BlockState.Releasing => !_isBlind && !Lives(before),
        _ => !_isBlind,                                          // no such state: nobody could free it
    };

    /// <summary>What the dead one offered to a party that lives is that party's to take, or to free when it has read all that came.</summary>
    private void Orphan(uint index, BlockWord before)
    {
        if (before.State == BlockState.Offered && before.Giver == _dead)
        {
            _ = _m.TryChange(index, before, before.With(BlockState.Orphaned));
            KillPoints.Reach(KillPoint.PoolOrphaned);
        }
    }

    private bool TryReturn(uint index, BlockWord from, BlockState expected)
    {
        BlockWord releasing = BlockWord.Of(BlockState.Releasing, _dead, 0, from.Sequence + 1);
        if (from.State != expected || !_m.TryChange(index, from, releasing))
        {
            return false;                                        // somebody has claimed it meanwhile
        }

        _moved++;
        KillPoints.Reach(KillPoint.PoolReturning);
        return _m.PutBack(index, releasing, 0);
    }

    private bool Lives(BlockWord word) =>
        word.Party < PartyTable.Capacity && _live[word.Party] is { } party && (byte)party.Generation == word.Generation;
}
