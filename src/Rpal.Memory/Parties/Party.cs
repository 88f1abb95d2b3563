namespace Rpal.Memory.Parties;

/// <summary>A process that has opened a segment, as the parts of that segment know it.</summary>
/// <param name="Number">0 to <see cref="PartyTable.Capacity"/> - 1.</param>
/// <param name="Generation">Which of the processes that had this number.</param>
public readonly record struct Party(int Number, uint Generation)
{
    /// <summary>For messages: "party 3".</summary>
    public override string ToString() => $"party {Number}";
}
