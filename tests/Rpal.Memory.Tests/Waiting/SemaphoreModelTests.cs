using FsCheck;
using FsCheck.Fluent;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.Memory.Tests.Waiting;

/// <summary>Any sequence of operations has the outcome that plain numbers have.</summary>
public sealed class SemaphoreModelTests
{
    private const int Semaphores = 5, Limit = 3;

    [Fact]
    public void Semaphores_and_a_set_behave_as_plain_counts() =>
        Prop.ForAll<int[]>(steps => Run(steps)).Check(Config.QuickThrowOnFailure.WithMaxTest(300).WithEndSize(200));

    private static bool Run(int[] steps)
    {
        using var segment = Segment.Create(Segment.LeastBytes);
        SharedSemaphore[] s = SharedSemaphore.CreateMany(segment, Semaphores, initial: 1, limit: Limit);
        using SemaphoreSet set = SemaphoreSet.Join(segment, SemaphoreSet.CreateSeats(segment, 1, Semaphores));
        int[] counts = [.. Enumerable.Repeat(1, Semaphores)];
        HashSet<int> members = [];
        foreach (int step in steps)
        {
            int i = Math.Abs(step % Semaphores), add = Math.Abs(step / Semaphores % 3) + 1;
            switch (Math.Abs(step / (Semaphores * 3)) % 7)
            {
                case 0 or 1:
                    bool fits = counts[i] + add <= Limit;
                    Assert.Equal(fits ? ReleaseStatus.Released : ReleaseStatus.Overflow, s[i].Release(add));
                    counts[i] += fits ? add : 0;
                    break;
                case 2:
                    Assert.Equal(Expected(counts[i]), s[i].TryWait());
                    counts[i] = Math.Max(0, counts[i] - 1);
                    break;
                case 3:
                    WaitStatus any = SharedSemaphore.WaitAny([s[i], s[(i + 1) % Semaphores]], TimeSpan.Zero, out int index);
                    int which = (i + index) % Semaphores;
                    Assert.Equal(Expected(counts[i] + counts[(i + 1) % Semaphores]), any);
                    TakenFrom(any, which);
                    break;
                case 4:
                    set.Add(s[i]);
                    members.Add(i);
                    break;
                case 5:
                    Assert.Equal(members.Remove(i), set.Remove(s[i]));
                    break;
                default:
                    WaitStatus status = set.WaitAny(TimeSpan.Zero, out SharedSemaphore? from);
                    Assert.Equal(Expected(members.Sum(m => counts[m])), status);
                    TakenFrom(status, from is null ? -1 : Array.IndexOf(s, from));
                    Assert.True(from is null || members.Contains(Array.IndexOf(s, from)));
                    break;
            }

            Assert.Equal(members.Count, set.Count);
            Assert.Equal(counts, s.Select(x => (int)x.Count));
        }

        return true;

        void TakenFrom(WaitStatus status, int which)
        {
            if (status == WaitStatus.Acquired)
            {
                Assert.InRange(counts[which]--, 1, Limit);
            }
        }
    }

    private static WaitStatus Expected(int tokens) => tokens > 0 ? WaitStatus.Acquired : WaitStatus.TimedOut;
}
