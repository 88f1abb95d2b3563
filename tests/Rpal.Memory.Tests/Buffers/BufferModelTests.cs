using FsCheck;
using FsCheck.Fluent;
using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;

namespace Rpal.Memory.Tests.Buffers;

/// <summary>The lock against a plain reference: whatever three parties do in whatever order, both say the same.</summary>
public sealed class BufferModelTests
{
    private const int Parties = 3, Steps = 9;

    private enum Step
    {
        Read,
        ReadAlone,
        Write,
        Release,
        Abandon,
        HandOver,
        Accept,
        Die,
        ReleaseTwice,
    }

    [Fact]
    public void The_lock_does_what_the_reference_does()
    {
        bool isLong = Long.IsWanted;
        Check.One(
            Config.QuickThrowOnFailure.WithMaxTest(isLong ? 5_000 : 150).WithEndSize(isLong ? 400 : 120),
            Prop.ForAll(Arb.Array(Arb.From(Gen.Choose(0, Steps * Parties * Parties - 1))), Play));
    }

    private static void Play(int[] steps)
    {
        using var world = new World();
        foreach (int step in steps)
        {
            world.Do((Step)(step % Steps), step / Steps % Parties, step / Steps / Parties);
        }
    }

    private sealed class World : IDisposable
    {
        private readonly Segment[] _segments = new Segment[Parties];
        private readonly OwnedBuffer[] _buffers = new OwnedBuffer[Parties];
        private readonly List<Take>[] _reads = [[], [], []];

        // The reference.
        private readonly int[] _readers = new int[Parties];
        private bool _alone, _torn;
        private int _writer = -1, _version;
        private bool _inTransit;
        private Take _write;

        public World()
        {
            _segments[0] = Segment.Create(Segment.LeastBytes);
            _buffers[0] = OwnedBuffer.Create(_segments[0], 100);
            for (int p = 1; p < Parties; p++)
            {
                Open(p);
            }
        }

        public void Do(Step step, int party, int other)
        {
            BufferLock mine = _buffers[party].Lock;
            Take take;
            switch (step)
            {
                case Step.Read or Step.ReadAlone:
                    bool alone = step == Step.ReadAlone;
                    BufferStatus expected = _writer >= 0 ? BufferStatus.HeldByWriter : _alone || alone && _readers.Sum() > 0 ? BufferStatus.HeldByReaders
                        : _readers.Sum() == OwnedBuffer.ReaderCapacity ? BufferStatus.TooManyReaders : BufferStatus.Taken;
                    Assert.Equal(expected, mine.Try(alone ? LeaseKind.ReadAlone : LeaseKind.Read, out take));
                    if (expected == BufferStatus.Taken)
                    {
                        _reads[party].Add(take);
                        _readers[party]++;
                        _alone = alone;
                    }

                    break;
                case Step.Write:
                    expected = _writer >= 0 ? BufferStatus.HeldByWriter : _readers.Sum() > 0 ? BufferStatus.HeldByReaders : BufferStatus.Taken;
                    Assert.Equal(expected, mine.Try(LeaseKind.Write, out take));
                    if (expected == BufferStatus.Taken)
                    {
                        (_write, _writer, _inTransit, _version) = (take, party, false, _version + 1);
                    }

                    break;
                case Step.Release or Step.Abandon when _writer == party && !_inTransit:
                    Assert.Equal(BufferStatus.Released, mine.ReleaseWrite(_write, step == Step.Release));
                    (_writer, _torn) = (-1, step == Step.Abandon);
                    break;
                case Step.Release or Step.Abandon or Step.ReleaseTwice when _readers[party] > 0:
                    int which = other % _reads[party].Count;
                    take = _reads[party][which];
                    _reads[party].RemoveAt(which);
                    Assert.Equal(BufferStatus.Released, mine.ReleaseRead(take));
                    _readers[party]--;
                    _alone = false;
                    if (step == Step.ReleaseTwice)
                    {
                        Assert.Equal(BufferStatus.Corrupt, mine.ReleaseRead(take));
                    }

                    break;
                case Step.HandOver when _writer == party && !_inTransit:
                    Assert.Equal(BufferStatus.HandedOver, mine.HandOver(_write, _segments[other].Self));
                    (_writer, _inTransit, _torn) = (other, true, false);
                    Assert.Equal(BufferStatus.Corrupt, mine.ReleaseWrite(_write, true));
                    break;
                case Step.Accept:
                    expected = _writer == party && _inTransit ? BufferStatus.Taken : BufferStatus.NotHandedOver;
                    Assert.Equal(expected, mine.Try(LeaseKind.Accept, out take));
                    (_write, _inTransit) = expected == BufferStatus.Taken ? (take, false) : (_write, _inTransit);
                    break;
                case Step.Die when party != 0:
                    _segments[party].Dispose();
                    (_torn, _writer) = _writer == party ? (_torn || !_inTransit, -1) : (_torn, _writer);
                    _alone &= _readers[party] == 0;
                    _readers[party] = 0;
                    _reads[party].Clear();
                    Open(party);
                    break;
                default:
                    return;
            }

            Compare();
        }

        public void Dispose() => Array.ForEach(_segments, s => s.Dispose());

        private void Open(int party)
        {
            _segments[party] = Segment.Open(_segments[0].File);
            Assert.Equal(party, _segments[party].Self.Number);
            _buffers[party] = OwnedBuffer.Open(_segments[party], 0);
        }

        private void Compare()
        {
            LockWord word = _buffers[0].Lock.Word;
            Assert.True(word.IsSane);
            Assert.Equal((_writer, _readers.Sum(), _alone, _torn, _version % 1024), (word.Writer, word.ReaderCount, word.IsExclusive, word.IsTorn, word.Version));
            Assert.Equal(_writer >= 0 && _inTransit, word.Writer >= 0 && word.WriterThread == 0);
            for (int p = 0; p < Parties; p++)
            {
                Assert.Equal(_readers[p], Enumerable.Range(0, OwnedBuffer.ReaderCapacity).Count(s => word.HasReader(s) && ReaderSeat.PartyOf(_buffers[0].Lock.SeatOwner(s)) == p));
            }
        }
    }
}
